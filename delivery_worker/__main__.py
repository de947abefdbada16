"""`delivery-worker`, or `python -m delivery_worker`."""

from delivery_worker.commands import agents_group
from delivery_worker.handlers import HANDLERS
from delivery_worker.service import NAME, service
from delivery_worker.settings import Settings
from messages.transport.command_line.commands import Program, command_line
from messages.transport.edge.publishing import publish_command

main = command_line(Program(NAME, Settings, service))
main.add_command(agents_group)
main.add_command(publish_command(NAME, HANDLERS))

if __name__ == "__main__":
    main()
