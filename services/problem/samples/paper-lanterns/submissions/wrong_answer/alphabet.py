from collections import Counter

# Sorts by name, which is not the order in which the colours were called.
count = Counter(input() for _ in range(int(input())))
for colour in sorted(count):
    print(colour, count[colour])
print("odd" if len(count) % 2 else "even")
