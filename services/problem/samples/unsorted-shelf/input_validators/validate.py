import re
import sys

text = sys.stdin.read()
if not re.fullmatch(r"(0|[1-9]\d{0,9})( (0|[1-9]\d{0,9})){4}\n", text):
    sys.exit("not five integers on one line")
n, s, p, q, m = map(int, text.split())
if not 1 <= n <= 80000 or not 1 <= m <= 10**9 or max(s, p, q) >= m:
    sys.exit("a number is out of range")
sys.exit(42)
