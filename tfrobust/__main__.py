"""`python -m tfrobust` is the command `tfrobust`."""

from tfrobust.cli import command

command.main()
