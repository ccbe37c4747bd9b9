// The C boundary of forecasts.
#include <algorithm>
#include <cmath>
#include <optional>

#include "boundary.hpp"
#include "smiless/chain.hpp"

static_assert(SMILESS_CHAIN_EXPERTS == smiless::Chains::experts && SMILESS_CHAIN_CLASSES == smiless::Chains::classes);
static_assert(SMILESS_CHAIN_HISTOGRAMS == smiless::Chains::rows);

struct smiless_chains {
  std::optional<smiless::Chains> chains;
  std::vector<int64_t> at;          // edges but the first, nanoseconds
  std::vector<double> probability;  // of the last forecast
  std::string message;
};

namespace {

constexpr double never = 1e18;  // seconds

using smiless::guarded;
using smiless::longest_gap;

smiless::Chains &known(smiless_chains *chains, int32_t chain) {
  if (!chains->chains) throw std::invalid_argument("the chains were not created");
  if (chain < 0 || chain >= chains->chains->count())
    throw std::invalid_argument("there is no chain " + std::to_string(chain));
  return *chains->chains;
}

void check(bool fits, const char *message) {
  if (!fits) throw std::invalid_argument(message);
}

void forecast_to(smiless_chains *chains, int32_t chain, smiless_windows *windows) {
  chains->chains->forecast(chain, chains->probability);
  const size_t bins = chains->at.size();
  windows->solved = false;
  windows->at.assign(chains->at.begin(), chains->at.end());
  windows->mass.assign(bins, 0.0);
  windows->spread.assign(chains->probability.begin(), chains->probability.end() - 1);
  // Nothing is known of when what is beyond all bins comes: at no price is an instance worth keeping for it.
  windows->gaps = {windows->at, windows->mass, windows->spread, chains->probability.back(), never};
}

void solve(smiless_windows *windows, int64_t cold_start, int64_t tolerated, double price) {
  windows->price.assign(windows->at.size(), price);
  windows->spread_price.assign(windows->at.size(), price);
  windows->policy.solve(windows->gaps, cold_start, {windows->price, windows->spread_price, price, tolerated, 0, 0});
  windows->solved = true;
}

}  // namespace

smiless_status smiless_chains_new(int32_t count, double finest, double ratio, double longest, double decay,
                                  smiless_chains **out) {
  *out = new (std::nothrow) smiless_chains;
  if (!*out) return SMILESS_NO_MEMORY;
  return guarded(*out, [&] {
    check(count >= 1, "there must be at least one chain");
    check(finest >= 1e-6 && finest <= 1e6, "finest must be 1e-6 to 1e6 seconds");
    check(ratio >= 1e-4 && ratio <= 1, "ratio must be 1e-4 to 1");
    check(longest >= finest && longest <= 1e9, "longest must be at least finest, and at most 1e9 seconds");
    check(decay > 0 && decay < 1, "decay must be above 0 and below 1");
    (*out)->chains.emplace(count, smiless::ChainSettings{finest, ratio, longest, decay});
    for (const double edge : (*out)->chains->edges().subspan(1)) (*out)->at.push_back(std::llround(edge * 1e9));
    (*out)->probability.resize((*out)->chains->edges().size());
  });
}

void smiless_chains_free(smiless_chains *chains) { delete chains; }

const char *smiless_chains_message(const smiless_chains *chains) { return chains->message.c_str(); }

smiless_status smiless_chains_grid(const smiless_chains *chains, int32_t *bins, double *edges) {
  if (!chains->chains) return SMILESS_INVALID;
  *bins = chains->chains->bins();
  if (edges) std::copy_n(chains->chains->edges().begin(), *bins + 1, edges);
  return SMILESS_OK;
}

smiless_status smiless_chains_observe(smiless_chains *chains, int32_t chain, double began, double gap) {
  return guarded(chains, [&] {
    smiless::Chains &all = known(chains, chain);
    check(std::isfinite(began), "the beginning of a gap must be finite");
    check(gap >= 0 && std::isfinite(gap), "a gap must be finite and >= 0");
    all.observe(chain, began, gap);
  });
}

smiless_status smiless_chains_forecast(smiless_chains *chains, int32_t chain, double *probability) {
  return guarded(chains, [&] {
    smiless::Chains &all = known(chains, chain);
    all.forecast(chain, {probability, static_cast<size_t>(all.bins()) + 1});
  });
}

smiless_status smiless_chains_forecast_to(smiless_chains *chains, int32_t chain, smiless_windows *windows) {
  return guarded(chains, [&] {
    known(chains, chain);
    forecast_to(chains, chain, windows);
  });
}

smiless_status smiless_chains_read(smiless_chains *chains, int32_t chain, smiless_chain_known *out, float *histograms) {
  return guarded(chains, [&] {
    const smiless::Chains &all = known(chains, chain);
    const smiless::Chains::Known &one = all.known(chain);
    std::copy_n(one.weight, SMILESS_CHAIN_EXPERTS, out->weight);
    std::copy_n(one.after, SMILESS_CHAIN_CLASSES, out->after);
    out->gaps = one.gaps, out->last = one.last, out->time = one.time;
    const std::span<const float> rows = all.histograms(chain);
    std::copy(rows.begin(), rows.end(), histograms);
  });
}

smiless_status smiless_chains_write(smiless_chains *chains, int32_t chain, const smiless_chain_known *in,
                                    const float *histograms) {
  return guarded(chains, [&] {
    smiless::Chains &all = known(chains, chain);
    double sum = 0;
    for (const double weight : in->weight) {
      check(weight >= 0, "weights must be >= 0");
      sum += weight;
    }
    check(std::abs(sum - 1) < 1e-6, "weights must add up to 1");
    const auto counted = [](double value) { return value >= 0 && std::isfinite(value); };
    check(counted(in->gaps), "the number of gaps must be finite and >= 0");
    for (const double value : in->after) check(counted(value), "the number of gaps must be finite and >= 0");
    check(in->last < SMILESS_CHAIN_CLASSES, "there is no such class of gaps");
    check(in->time >= 0 && in->time < 3600, "the time must be in an hour");
    const std::span<float> rows = all.histograms(chain);
    for (size_t i = 0; i < rows.size(); ++i) check(counted(histograms[i]), "histograms must be finite and >= 0");
    std::copy_n(histograms, rows.size(), rows.begin());
    smiless::Chains::Known &one = all.known(chain);
    std::copy_n(in->weight, SMILESS_CHAIN_EXPERTS, one.weight);
    std::copy_n(in->after, SMILESS_CHAIN_CLASSES, one.after);
    one.gaps = in->gaps, one.last = std::max(in->last, -1), one.time = in->time;
  });
}

smiless_status smiless_chains_replay(smiless_chains *chains, int32_t chain, smiless_windows *windows, int64_t began,
                                     int64_t gaps, const int64_t *gap, int64_t cold_start, int64_t tolerated,
                                     int32_t prices, const double *price, smiless_stop stop, void *context,
                                     double *residency, int64_t *missed, double *stated, double *position,
                                     int64_t *done) {
  *done = 0;
  return guarded(chains, [&] {
    smiless::Chains &all = known(chains, chain);
    check(cold_start >= 0 && cold_start <= longest_gap, "cold_start must be 0 to 146 years");
    check(tolerated >= 0 && tolerated <= longest_gap, "tolerated must be 0 to 146 years");
    for (int32_t p = 0; p < prices; ++p)
      check(price[p] >= 0 && std::isfinite(price[p]), "prices must be finite and >= 0");
    for (int64_t i = 0; i < gaps; ++i) check(gap[i] >= 0 && gap[i] <= longest_gap, "gaps must be 0 to 146 years");
    constexpr int64_t hour = 3'600'000'000'000;
    if (began >= 0) all.known(chain).time = static_cast<double>(began % hour) / 1e9;
    int64_t time = std::llround(all.known(chain).time * 1e9);
    std::vector<int64_t> wait(chains->at.size());
    std::fill_n(residency, prices, 0.0);
    std::fill_n(missed, prices, 0);
    std::fill_n(stated, prices, 0.0);
    for (; *done < gaps; ++*done) {
      if (stop && *done % 64 == 63 && stop(context)) return;
      const int64_t x = gap[*done];
      const double seconds = static_cast<double>(x) / 1e9;
      forecast_to(chains, chain, windows);
      for (int32_t p = 0; p < prices; ++p) {
        solve(windows, cold_start, tolerated, price[p]);
        windows->policy.follow(0, 0, windows->stays, wait);
        const smiless::Met met = smiless::meet(windows->stays, x, cold_start);
        residency[p] += met.residency;
        missed[p] += met.wait > tolerated;
        stated[p] += std::min(windows->policy.value(0, 0).misses, 1.0);
      }
      if (position) {
        const int32_t bin = all.bin_of(seconds);
        double below = 0;
        for (int32_t k = 0; k < bin; ++k) below += chains->probability[k];
        const std::span<const double> edges = all.edges();
        const double part = bin == all.bins() ? 1 : (seconds - edges[bin]) / (edges[bin + 1] - edges[bin]);
        position[*done] = std::min(below + part * chains->probability[bin], 1.0);
      }
      all.observe(chain, static_cast<double>(time) / 1e9, seconds);
      time = (time + x % hour) % hour;
      all.known(chain).time = static_cast<double>(time) / 1e9;
    }
  });
}
