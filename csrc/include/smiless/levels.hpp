// Which instance of a function serves which arrival.
#pragma once

#include <cstdint>
#include <span>

#include "smiless/relaxation.hpp"

namespace smiless {

// Level k is the instance that serves when k others are busy: an arrival takes the lowest level that is free. Every
// service takes `busy`; one that ends at the instant of an arrival has ended. gap[i] is the time since the arrival that
// the level of arrival i served before, or -1.
void assign_levels(std::span<const Time> at, Time busy, int32_t *level, Time *gap);

}  // namespace smiless
