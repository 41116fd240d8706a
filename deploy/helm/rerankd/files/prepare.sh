# Downloads the model, converts it, and proves with one ranking that it works.
set -eu
case "${PREPARE_FOR:-cpu}:$RERANKD_MODEL" in
    gpu:*) # It has no GPU here, and a GPU needs no conversion.
        echo "a document" | rerankd rerank "a query" --device cpu --engine torch --dtype auto ;;
    cpu:bundled) rerankd optimize ;;
    *) echo "a document" | rerankd rerank "a query" ;;
esac
