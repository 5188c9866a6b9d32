#!/usr/bin/python3
"""Writes the lines of its standard input into a file as they come. It keeps its
standard output open and says nothing there: ExaBGP takes what its processes say
for commands, and the end of it for their death."""
import sys

with open(sys.argv[1], 'ab', 0) as out:
    for line in sys.stdin.buffer:
        out.write(line)
