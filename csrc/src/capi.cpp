// The C boundary: no exception and no C++ type passes it.
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "smiless/search.hpp"
#include "smiless/smiless.h"

struct smiless_search {
  std::optional<smiless::Search> search;
  std::string message;
};

namespace {

template <class Work>
smiless_status guarded(smiless_search *handle, const Work &work) {
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
  }
}

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
