// What the files of the C boundary share: no exception passes it, and handles carry the reason of the last failure.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "smiless/smiless.h"
#include "smiless/windows.hpp"

struct smiless_windows {
  std::vector<smiless::Time> at;
  std::vector<double> mass, spread, price, spread_price;
  smiless::Gaps gaps;
  smiless::SwitchingPolicy policy;
  std::vector<smiless::ResidentStay> stays;
  bool solved = false;
  std::string message;
};

namespace smiless {

// Twice this still fits an int64_t.
constexpr int64_t longest_gap = INT64_MAX / 2;

template <class Handle, class Work>
smiless_status guarded(Handle *handle, const Work &work) {
  const auto say = [&](const char *what) {
    try {
      handle->message = what;
    } catch (...) {  // out of memory while saying so: the status is enough
    }
  };
  try {
    work();
    return SMILESS_OK;
  } catch (const std::invalid_argument &error) {
    say(error.what());
    return SMILESS_INVALID;
  } catch (const std::bad_alloc &) {
    say("out of memory");
    return SMILESS_NO_MEMORY;
  } catch (const std::exception &error) {
    say(error.what());
    return SMILESS_INTERNAL;
  } catch (...) {  // such as what a stop callback throws
    say("an exception of an unknown type");
    return SMILESS_INTERNAL;
  }
}

}  // namespace smiless
