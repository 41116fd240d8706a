"""The subcommands of `rerankd`, one file each."""
