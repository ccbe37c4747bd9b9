// The C boundary: no exception and no C++ type passes it.
#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "smiless/search.hpp"
#include "smiless/smiless.h"
#include "smiless/windows.hpp"

struct smiless_search {
  std::optional<smiless::Search> search;
  std::string message;
};

struct smiless_windows {
  std::vector<smiless::Time> at;
  std::vector<double> mass, price;
  smiless::Gaps gaps;
  smiless::SwitchingPolicy policy;
  std::vector<smiless::ResidentStay> stays;
  bool solved = false;
  std::string message;
};

namespace {

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

// Twice this still fits an int64_t.
constexpr int64_t longest_gap = INT64_MAX / 2;

}  // namespace

int32_t smiless_abi_version(void) { return SMILESS_ABI_VERSION; }

smiless_status smiless_search_new(int32_t functions, int32_t edges, const int32_t *from, const int32_t *to,
                                  smiless_search **out) {
  *out = new (std::nothrow) smiless_search;
  if (!*out) return SMILESS_NO_MEMORY;
  return guarded(*out, [&] {
    if (functions < 1) throw std::invalid_argument("an application needs at least one function");
    if (edges < 0) throw std::invalid_argument("the number of edges must be >= 0");
    for (int32_t e = 0; e < edges; ++e) {
      for (int32_t end : {from[e], to[e]})
        if (end < 0 || end >= functions)
          throw std::invalid_argument("edge " + std::to_string(e) + ": there is no function " + std::to_string(end));
    }
    smiless::Network network;
    if (!smiless::build_network(functions, edges, from, to, network))
      throw std::invalid_argument("the edges form a cycle");
    (*out)->search.emplace(std::move(network));
  });
}

void smiless_search_free(smiless_search *search) { delete search; }

const char *smiless_search_message(const smiless_search *search) { return search->message.c_str(); }

smiless_status smiless_search_set_modes(smiless_search *search, const int64_t *offsets, const double *release,
                                        const double *latency) {
  return guarded(search, [&] {
    if (!search->search) throw std::invalid_argument("the search was not created");
    search->search->set_modes(offsets, release, latency);
  });
}

smiless_status smiless_search_set_width(smiless_search *search, int64_t width) {
  return guarded(search, [&] {
    if (!search->search) throw std::invalid_argument("the search was not created");
    if (width < 0 || width > 1000000) throw std::invalid_argument("width must be 0 to 1000000");
    search->search->width = static_cast<size_t>(width);
  });
}

smiless_status smiless_search_solve(smiless_search *search, const double *cost, double sla, const smiless_work *budget,
                                    double time_limit, smiless_stop stop, void *context, int32_t *choice,
                                    smiless_result *result) {
  return guarded(search, [&] {
    if (!search->search) throw std::invalid_argument("the search was not created");
    smiless::Control control(budget, time_limit, stop, context);
    *result = search->search->solve(cost, sla, control, choice);
  });
}

smiless_status smiless_windows_new(smiless_windows **out) {
  *out = new (std::nothrow) smiless_windows;
  return *out ? SMILESS_OK : SMILESS_NO_MEMORY;
}

void smiless_windows_free(smiless_windows *windows) { delete windows; }

const char *smiless_windows_message(const smiless_windows *windows) { return windows->message.c_str(); }

smiless_status smiless_windows_set_gaps(smiless_windows *windows, int32_t atoms, const int64_t *at, const double *mass,
                                        double tail_mass, double tail_excess) {
  return guarded(windows, [&] {
    if (atoms < 0) throw std::invalid_argument("the number of atoms must be >= 0");
    for (int32_t i = 0; i < atoms; ++i) {
      if (at[i] < 0 || at[i] > longest_gap || (i > 0 && at[i] <= at[i - 1]))
        throw std::invalid_argument("at[" + std::to_string(i) + "] must be in ascending order, 0 to 146 years");
      if (!(mass[i] >= 0) || !std::isfinite(mass[i]))
        throw std::invalid_argument("mass[" + std::to_string(i) + "] must be finite and >= 0");
    }
    if (!(tail_mass >= 0) || !(tail_excess >= 0) || !std::isfinite(tail_mass) || !std::isfinite(tail_excess))
      throw std::invalid_argument("the tail must have a finite mass and a finite mean excess, both >= 0");
    windows->solved = false;
    windows->at.assign(at, at + atoms);
    windows->mass.assign(mass, mass + atoms);
    windows->gaps = {windows->at, windows->mass, tail_mass, tail_excess};
  });
}

smiless_status smiless_windows_solve(smiless_windows *windows, int64_t cold_start, const double *price,
                                     double tail_price, int64_t tolerated) {
  return guarded(windows, [&] {
    if (cold_start < 0 || cold_start > longest_gap) throw std::invalid_argument("cold_start must be 0 to 146 years");
    if (tolerated > longest_gap) throw std::invalid_argument("tolerated must be at most 146 years");
    const size_t atoms = windows->at.size();
    for (size_t i = 0; i < atoms; ++i)
      if (!(price[i] >= 0) || !std::isfinite(price[i]))
        throw std::invalid_argument("price[" + std::to_string(i) + "] must be finite and >= 0");
    if (!(tail_price >= 0) || !std::isfinite(tail_price))
      throw std::invalid_argument("tail_price must be finite and >= 0");
    windows->price.assign(price, price + atoms);
    windows->policy.solve(windows->gaps, cold_start, {windows->price, tail_price, std::max<int64_t>(tolerated, -1)});
    windows->solved = true;
  });
}

smiless_status smiless_windows_values(const smiless_windows *windows, int64_t count, const int64_t *busy, int64_t keep,
                                      double *value) {
  if (!windows->solved || keep < 0 || keep > longest_gap) return SMILESS_INVALID;
  for (int64_t i = 0; i < count; ++i) {
    if (busy[i] < 0 || busy[i] > longest_gap) return SMILESS_INVALID;
    value[i] = windows->policy.value(busy[i], keep);
  }
  return SMILESS_OK;
}

smiless_status smiless_windows_follow(smiless_windows *windows, int64_t busy, int64_t keep, int32_t room,
                                      smiless_stay *stays, int32_t *count, int64_t *wait) {
  return guarded(windows, [&] {
    if (!windows->solved) throw std::invalid_argument("nothing has been solved");
    if (busy < 0 || busy > longest_gap || keep < 0 || keep > longest_gap)
      throw std::invalid_argument("busy and keep must be 0 to 146 years");
    windows->policy.follow(busy, keep, windows->stays, {wait, windows->at.size()});
    if (windows->stays.size() > static_cast<size_t>(room)) throw std::invalid_argument("no room for the stays");
    *count = static_cast<int32_t>(windows->stays.size());
    for (size_t i = 0; i < windows->stays.size(); ++i)
      stays[i] = {windows->stays[i].start, windows->stays[i].ready, windows->stays[i].until};
  });
}
