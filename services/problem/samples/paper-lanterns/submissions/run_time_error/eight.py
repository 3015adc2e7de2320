# Believes that nobody has more than eight colours.
n = int(input())
names, counts = [], [0] * 8
for _ in range(n):
    colour = input()
    if colour not in names:
        names.append(colour)
    counts[names.index(colour)] += 1
for i, colour in enumerate(names):
    print(colour, counts[i])
print("odd" if len(names) % 2 else "even")
