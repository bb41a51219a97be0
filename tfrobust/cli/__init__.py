"""What all programs share: start and end, exit codes, and the flags of data, devices and attacks.

The only part of the library that knows command-line flags. A module here defines some, and one function `from_flags`
that reads them into a frozen value, which a program's `main` passes on. Importing it is quick: TensorFlow is imported
where it is used, so that `--help` answers at once.
"""
