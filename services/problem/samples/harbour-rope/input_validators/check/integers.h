#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>

[[noreturn]] inline void refuse(const char* why) {
    std::puts(why);
    std::exit(43);
}

/// An integer in its one spelling, then `end`.
inline long long integer(long long min, long long max, char end) {
    std::string text;
    int c;
    while ((c = std::getchar()) != EOF && c != end) {
        text.push_back(static_cast<char>(c));
        if (text.size() > 18) refuse("a number is too long");
    }
    if (c != end) refuse("the input ends too early");
    size_t first = !text.empty() && text[0] == '-';
    if (text.size() == first || text.find_first_not_of("0123456789", first) != std::string::npos)
        refuse("not an integer");
    long long value = std::atoll(text.c_str());
    if (std::to_string(value) != text) refuse("not the shortest spelling of a number");
    if (value < min || value > max) refuse("a number is out of range");
    return value;
}
