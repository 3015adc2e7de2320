//! Test programs in every language.

/// The programs of a language.
pub struct Programs {
    pub language: &'static str,
    /// Adds two numbers.
    pub right: &'static str,
    /// Subtracts them.
    pub wrong: &'static str,
    pub busy: &'static str,
    pub idle: &'static str,
    /// Allocates memory without limit.
    pub greedy: &'static str,
    /// Writes to standard error and exits with code 7.
    pub exits: &'static str,
    /// Writes output without limit.
    pub flooding: &'static str,
    /// Does not compile.
    pub broken: &'static str,
    /// Writes no output.
    pub silent: &'static str,
}

pub const ALL: [Programs; 4] = [C, CPP, PYTHON, JAVA];

const C: Programs = Programs {
    language: "c17",
    right: "#include <stdio.h>\nint main(void){int a,b;scanf(\"%d %d\",&a,&b);printf(\"%d\\n\",a+b);}",
    wrong: "#include <stdio.h>\nint main(void){int a,b;scanf(\"%d %d\",&a,&b);printf(\"%d\\n\",a-b);}",
    busy: "int main(void){volatile unsigned x=0;for(;;)x++;}",
    idle: "#include <unistd.h>\nint main(void){for(;;)pause();}",
    greedy: "#include <stdlib.h>\n#include <string.h>\nint main(void){for(;;){char*p=malloc(1<<20);if(p)memset(p,1,1<<20);}}",
    exits: "#include <stdio.h>\nint main(void){fprintf(stderr,\"oh no\\n\");return 7;}",
    flooding: "#include <stdio.h>\nint main(void){for(;;)puts(\"la la la la la la la la la la la la la\");}",
    broken: "int main(void){return undeclared;}",
    silent: "int main(void){return 0;}",
};

const CPP: Programs = Programs {
    language: "cpp20",
    right: "#include <bits/stdc++.h>\nint main(){int a,b;std::cin>>a>>b;std::cout<<a+b<<std::endl;}",
    wrong: "#include <iostream>\nint main(){int a,b;std::cin>>a>>b;std::cout<<a-b<<std::endl;}",
    busy: "int main(){volatile unsigned x=0;for(;;)x=x+1;}",
    idle: "#include <thread>\nint main(){std::this_thread::sleep_for(std::chrono::hours(1));}",
    greedy: "#include <vector>\nint main(){std::vector<int> v;for(;;)v.push_back(1);}",
    exits: "#include <iostream>\n#include <cstdlib>\nint main(){std::cerr<<\"oh no\\n\";std::exit(7);}",
    flooding: "#include <cstdio>\nint main(){for(;;)std::puts(\"la la la la la la la la la la la\");}",
    broken: "#include <bits/stdc++.h>\nint main(){ return undeclared; }",
    silent: "int main(){}",
};

const PYTHON: Programs = Programs {
    language: "python3",
    right: "a, b = map(int, input().split())\nprint(a + b)",
    wrong: "a, b = map(int, input().split())\nprint(a - b)",
    busy: "while True: pass",
    idle: "import time\ntime.sleep(3600)",
    greedy: "x = []\nwhile True: x.append(bytearray(1 << 20))",
    exits: "import sys\nprint('oh no', file=sys.stderr)\nsys.exit(7)",
    flooding: "while True: print('la la la la la la la' * 100)",
    broken: "def f(:\n  pass",
    silent: "pass",
};

const JAVA: Programs = Programs {
    language: "java",
    right: "import java.util.*;\npublic class Sum { public static void main(String[] x) { Scanner s = new Scanner(System.in); System.out.println(s.nextInt() + s.nextInt()); } }",
    wrong: "import java.util.*;\nclass Difference { public static void main(String[] x) { Scanner s = new Scanner(System.in); System.out.println(s.nextInt() - s.nextInt()); } }",
    busy: "public class Main { static volatile int x; public static void main(String[] a) { for (;;) x++; } }",
    idle: "public class Main { public static void main(String[] a) throws Exception { Thread.sleep(3600000); } }",
    greedy: "import java.util.*;\npublic class Main { public static void main(String[] a) { List<int[]> l = new ArrayList<>(); for (;;) l.add(new int[1 << 18]); } }",
    exits: "public class Main { public static void main(String[] a) { System.err.println(\"oh no\"); System.exit(7); } }",
    flooding: "public class Main { public static void main(String[] a) { String s = \"la \".repeat(1000); for (;;) System.out.println(s); } }",
    broken: "public class Main { public static void main(String[] a) { undeclared(); } }",
    silent: "public class Main { public static void main(String[] a) { } }",
};
