import math

points = [tuple(map(int, input().split())) for _ in range(int(input()))]
pairs = zip(points, points[1:] + points[:1])
print("%.12e" % math.fsum(math.dist(a, b) for a, b in pairs))
