# Sourced by examples/quickstart.sh and tests/run.sh: what Debian 12 must have installed.

build_packages=(cmake ninja-build g++ git libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libfmt-dev
    libarchive-dev libssl-dev libsqlite3-dev libcli11-dev libcurl4-openssl-dev)

# require_packages PACKAGE...: installs what is missing as root, or says exactly what to install and fails.
# COMMAND=PACKAGE asks for a command, wherever it comes from.
require_packages() {
    local wanted missing=()
    if ! type -P dpkg-query >/dev/null; then
        echo "Not a Debian system: these Debian 12 packages, or their like, must be installed: ${*#*=}" >&2
        return 0
    fi
    for wanted in "$@"; do
        case $wanted in
            *=*) type -P "${wanted%%=*}" >/dev/null || missing+=("${wanted#*=}") ;;
            *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$wanted" 2>/dev/null)" = installed ] || missing+=("$wanted") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "Missing packages. As root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "Installing ${missing[*]}"
    apt-get -qq update </dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" </dev/null >/dev/null
}

# configure_and_build PRESET [CMAKE ARGUMENT...] [-- BUILD ARGUMENT...]
configure_and_build() {
    local preset=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
    [ $# -eq 0 ] || shift
    ! type -P ccache >/dev/null || options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    cmake --preset "$preset" "${options[@]}" >"/tmp/hearth-configure.$$" 2>&1 ||
        { cat "/tmp/hearth-configure.$$" >&2; rm -f "/tmp/hearth-configure.$$"; return 1; }
    rm -f "/tmp/hearth-configure.$$"
    cmake --build --preset "$preset" "$@"
}
