"""What only a GPU can tell: `make gpu-check`, or `python -m tests.gpu`."""
