# Ends as `rerankd drift` does: 0 steady or better, 3 shifted, 4 worse, 1 and 2 errors. Too little
# data (5) is no failure, unless FAIL_ON_TOO_LITTLE_DATA is set.
code=0
rerankd drift "$@" || code=$?
if [ "$code" -eq 5 ] && [ -z "${FAIL_ON_TOO_LITTLE_DATA:-}" ]; then
    exit 0
fi
exit "$code"
