"""The one exception a user's mistake raises."""


class UserError(ValueError):
    """Wrong input from a person. The message is one line: what is wrong, where, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """
