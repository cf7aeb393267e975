"""The exceptions that a person reads as one line."""


class UserError(ValueError):
    """Wrong input from a person. The message is one line: what is wrong, where, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


class FailedWorkError(RuntimeError):
    """Work that could not be done though the input was right. One line too: what, where, and the way out.

    The command line prints the message without a traceback and exits with code 1.
    """
