"""What is taken next: answers first, within the caps, new work only while there is room, and nothing lost."""
