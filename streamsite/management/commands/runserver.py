from daphne.management.commands.runserver import Command as DaphneCommand


class Command(DaphneCommand):
    """Django's own serves no sockets and no streams."""
