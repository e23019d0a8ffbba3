// iostreams, exceptions, RTTI, containers, static destructors, locale.
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>
struct said_goodbye {
    ~said_goodbye() { std::cout << "static destructor" << std::endl; }
} goodbye;
int depth(int n) {
    std::string held(100, 'x');
    if (n == 0) throw std::runtime_error("from the depth");
    return depth(n - 1) + static_cast<int>(held.size());
}
int main() {
    std::map<std::string, std::vector<double>> m;
    for (int i = 0; i < 100; ++i) m["key" + std::to_string(i % 7)].push_back(i * 0.5);
    for (auto& [k, v] : m) std::cout << k << ' ' << v.size() << ' ' << v.back() << '\n';
    try {
        depth(50);
    } catch (const std::exception& e) {
        std::cout << "caught " << e.what() << '\n';
    }
    try {
        std::vector<int>().at(3);
    } catch (const std::out_of_range&) {
        std::cout << "out of range\n";
    }
    std::stringstream s;
    s << std::hex << 255 << ' ' << 3.25;
    std::cout << s.str() << std::endl;
    std::cerr << "cerr\n";
    return 4;
}
