"""`order-saga`, or `python -m order_saga`."""

from messages.transport.command_line.commands import Program, command_line
from messages.transport.edge.publishing import publish_command
from order_saga.client.commands import cancel_command, place_command
from order_saga.handlers import HANDLERS
from order_saga.inspection.clocks import clock_problems
from order_saga.inspection.commands import audit_command, list_command, show_command
from order_saga.service import NAME, service
from order_saga.settings import Settings

main = command_line(Program(NAME, Settings, service, clock_problems))
main.add_command(place_command)
main.add_command(cancel_command)
main.add_command(show_command)
main.add_command(list_command)
main.add_command(audit_command)
main.add_command(publish_command(NAME, HANDLERS))

if __name__ == "__main__":
    main()
