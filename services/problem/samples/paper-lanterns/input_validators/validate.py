import re
import sys

text = sys.stdin.read()
lines = text.split("\n")
n = lines[0]
if not re.fullmatch("[1-9][0-9]{0,3}", n) or int(n) > {{max_n}}:
    sys.exit("the first line is not a number from 1 to {{max_n}}")
if len(lines) != int(n) + 2 or lines[-1] != "":
    sys.exit("there are not exactly n words")
for word in lines[1:-1]:
    if not re.fullmatch("[a-z]{1,20}", word):
        sys.exit("not a colour: %r" % word)
sys.exit(42)
