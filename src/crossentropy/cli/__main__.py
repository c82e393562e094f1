"""`python -m crossentropy.cli`."""

from crossentropy.cli import main

main()
