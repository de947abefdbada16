"""The toy as a daemon of its own."""

from messages.transport.command_line.commands import Program, command_line
from tests.integration.toy.service import Toy, ToySettings

main = command_line(Program("toy", ToySettings, lambda _: Toy().service()))

if __name__ == "__main__":
    main()
