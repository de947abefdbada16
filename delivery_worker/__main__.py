"""`delivery-worker`, or `python -m delivery_worker`."""

from delivery_worker.fleet import agents_group
from delivery_worker.service import service
from delivery_worker.settings import Settings
from messages.transport.command_line.commands import Program, command_line

main = command_line(Program("delivery_worker", Settings, service))
main.add_command(agents_group)

if __name__ == "__main__":
    main()
