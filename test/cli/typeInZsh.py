"""Types each line into an interactive zsh with the completion of a file, presses Tab, and prints what the line is then: typeInZsh.py FILE LINE…"""
import json
import os
import pty
import re
import select
import sys
import time

completion, *lines = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp("zsh", ["zsh", "-f", "-i"])


def read_until(pattern):
    read, end = "", time.monotonic() + 60
    while not re.search(pattern, read):
        if time.monotonic() > end or not select.select([terminal], [], [], end - time.monotonic())[0]:
            sys.exit(f"zsh said only {read!r}")
        read += os.read(terminal, 65536).decode(errors="replace")
    return re.search(pattern, read)


# What is typed is echoed: the word waited for must not stand in it.
show = "_show() { print -r -- \"<<$BUFFER>>\" }; zle -N _show; bindkey '^X' _show"
os.write(terminal, f"autoload -Uz compinit; compinit -u -D; source {completion}; {show}; print RE''ADY\n".encode())
read_until("READY")
found = []
for line in lines:
    os.write(terminal, b"\x15" + line.encode() + b"\t\x18")
    found.append(read_until("<<(.*)>>").group(1))
os.kill(child, 9)
print(json.dumps(found))
