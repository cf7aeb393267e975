"""The run: configuration, plan, executor, report and the command line."""
