#include "mm_world.hpp"
