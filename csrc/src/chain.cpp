#include "smiless/chain.hpp"

#include <algorithm>
#include <cmath>

namespace smiless {

namespace {

constexpr double widths[Chains::levels] = {1, .3, .1, .03, .01};  // relative to the gap
constexpr double context_width = .1;
constexpr double fallback = 1;                               // how many gaps the level above counts for
constexpr double forgetting = .01;                           // of the weights of experts: none is ever lost for good
constexpr double class_ends[Chains::classes - 1] = {60};     // seconds: between the classes of the last gap
constexpr double periods[Chains::clocks] = {60, 900, 3600};  // seconds: of the clocks; each divides the last one
constexpr double clock_share = .02;                          // of the weights, of each clock at first and at least
constexpr double other_share = (1 - clock_share * Chains::clocks) / (Chains::levels + 1);
constexpr double heard = .005;       // a clock that weighs less has next to no say, and takes as long
constexpr double clock_width = .02;  // relative to the time on the clock

// Four sums at once: a single one would wait for each addition.
template <class Value>
double sum_of(std::span<Value> values) {
  double sum[4] = {};
  size_t k = 0;
  for (; k + 4 <= values.size(); k += 4)
    for (size_t i = 0; i < 4; ++i) sum[i] += values[k + i];
  for (; k < values.size(); ++k) sum[0] += values[k];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Distribution function of the triangle on (-1, 1).
double triangle(double u) {
  if (u <= -1) return 0;
  if (u >= 1) return 1;
  return u < 0 ? (1 + u) * (1 + u) / 2 : 1 - (1 - u) * (1 - u) / 2;
}

}  // namespace

Chains::Chains(int32_t count, const ChainSettings &settings) : settings_(settings) {
  edges_.push_back(0);
  while (edges_.back() < settings.longest)
    edges_.push_back(edges_.back() + std::max(settings.finest, settings.ratio * edges_.back()));
  prior_.resize(row());
  const double whole = std::log((edges_.back() + settings.finest) / settings.finest);
  for (int32_t k = 0; k < bins(); ++k)
    prior_[k] = std::log((edges_[k + 1] + settings.finest) / (edges_[k] + settings.finest)) / whole;
  prior_[bins()] = 0;
  Known unknown{};
  std::fill_n(unknown.weight, experts, clock_share);
  std::fill_n(unknown.weight, levels + 1, other_share);
  unknown.last = -1;
  known_.assign(count, unknown);
  histograms_.assign(static_cast<size_t>(count) * rows * row(), 0);
  kernel_.resize(row());
  later_.resize(row());
  for (int32_t k = 0; k < bins(); ++k) density_.push_back(1 / (edges_[k + 1] - edges_[k]));
}

std::span<float> Chains::histograms(int32_t chain) {
  const size_t size = rows * row();
  return {histograms_.data() + static_cast<size_t>(chain) * size, size};
}

std::span<const float> Chains::histograms(int32_t chain) const {
  const size_t size = rows * row();
  return {histograms_.data() + static_cast<size_t>(chain) * size, size};
}

float *Chains::histogram(int32_t chain, int32_t at) { return histograms(chain).data() + at * row(); }

const float *Chains::histogram(int32_t chain, int32_t at) const { return histograms(chain).data() + at * row(); }

int32_t Chains::bin_of(double gap) const {
  return static_cast<int32_t>(std::upper_bound(edges_.begin(), edges_.end(), gap) - edges_.begin()) - 1;
}

int32_t Chains::class_of(double gap) const {
  return static_cast<int32_t>(std::upper_bound(class_ends, class_ends + classes - 1, gap) - class_ends);
}

int32_t Chains::spread(double gap, double width, int32_t &first) {
  const double half = std::max(width * gap, settings_.finest / 2);
  first = bin_of(std::max(gap - half, 0.0));
  const double whole = 1 - triangle(-gap / half);  // without what is below 0
  double below = triangle((edges_[first] - gap) / half);
  int32_t k = first;
  for (; k < bins() && edges_[k] < gap + half; ++k) {
    const double up_to = triangle((edges_[k + 1] - gap) / half);
    kernel_[k] = (up_to - below) / whole;
    below = up_to;
  }
  if (k == bins() && below < 1) kernel_[k++] = (1 - below) / whole;
  return k;
}

double Chains::between(const float *mass, double from, double until) const {
  int32_t k = bin_of(from);
  const int32_t last = bin_of(until);
  if (k == bins()) return 0;
  if (k == last) return mass[k] * (until - from) * density_[k];
  double sum = mass[k] * (edges_[k + 1] - from) * density_[k];
  sum += sum_of(std::span(mass + k + 1, mass + last));
  if (last < bins()) sum += mass[last] * (until - edges_[last]) * density_[last];
  return sum;
}

double Chains::remaining(int32_t chain, int32_t clock) const {
  const float *const mass = histogram(chain, levels + classes + clock);
  const double shown = std::fmod(known_[chain].time, periods[clock]);
  int32_t k = 0;
  double whole = 0;  // of the bins before k
  const auto until = [&](double time) {
    while (k < bins() && edges_[k + 1] <= time) whole += mass[k++];
    return k == bins() ? whole : whole + mass[k] * (time - edges_[k]) * density_[k];
  };
  double below = until(shown), sum = mass[bins()];
  for (int32_t b = 0; b < bins(); ++b) {
    const double up_to = until(edges_[b + 1] + shown);
    later_[b] = std::max(up_to - below, 0.0);
    sum += later_[b];
    below = up_to;
  }
  later_[bins()] = mass[bins()];
  return sum;
}

void Chains::shares(int32_t chain, int32_t bin, double *share) const {
  const Known &known = known_[chain];
  double q = prior_[bin];
  for (int32_t b = 0; b < levels; ++b) {
    q = (histogram(chain, b)[bin] + fallback * q) / (known.gaps + fallback);
    share[b] = q;
  }
  share[levels] = known.last < 0 ? q
                                 : (histogram(chain, levels + known.last)[bin] + fallback * q) /
                                       (known.after[known.last] + fallback);
  for (int32_t c = 0; c < clocks; ++c) {
    const float *const mass = histogram(chain, levels + classes + c);
    const double shown = std::fmod(known_[chain].time, periods[c]), end = edges_[bins()];
    const double sum = between(mass, shown, end) + mass[bins()];
    const double here = bin == bins() ? mass[bin] : between(mass, edges_[bin] + shown, edges_[bin + 1] + shown);
    share[levels + 1 + c] = (here + fallback * q) / (sum + fallback);
  }
}

void Chains::observe(int32_t chain, double began, double gap) {
  Known &known = known_[chain];
  const double hour = periods[clocks - 1];
  known.time = std::fmod(began, hour);
  if (known.time < 0) known.time += hour;
  double each[experts], sum = 0;
  shares(chain, bin_of(gap), each);
  for (int32_t b = 0; b < experts; ++b) sum += known.weight[b] * each[b];
  if (sum > 0)
    for (int32_t b = 0; b < experts; ++b) known.weight[b] *= each[b] / sum;
  for (int32_t b = 0; b < experts; ++b)
    known.weight[b] = (1 - forgetting) * known.weight[b] + forgetting * (b > levels ? clock_share : other_share);

  const auto decay = static_cast<float>(settings_.decay);
  const auto learn = [&](float *histogram, double value, double width) {
    int32_t first;
    const int32_t end = spread(value, width, first);
    for (size_t k = 0; k < row(); ++k) histogram[k] *= decay;
    for (int32_t k = first; k < end; ++k) histogram[k] += static_cast<float>(kernel_[k]);
  };
  for (int32_t b = 0; b < levels; ++b) learn(histogram(chain, b), gap, widths[b]);
  known.gaps = settings_.decay * known.gaps + 1;
  if (known.last >= 0) {
    learn(histogram(chain, levels + known.last), gap, context_width);
    known.after[known.last] = settings_.decay * known.after[known.last] + 1;
  }
  known.last = class_of(gap);
  for (int32_t c = 0; c < clocks; ++c) {
    const double shown = std::fmod(known.time, periods[c]);
    learn(histogram(chain, levels + classes + c), shown + gap, clock_width);
  }
  known.time = std::fmod(known.time + gap, hour);
}

void Chains::forecast(int32_t chain, std::span<double> probability) const {
  const Known &known = known_[chain];
  const size_t n = row();
  const double held = known.gaps + fallback;
  // The weights of what each histogram adds: those of the levels it is passed on to fade by 1 / held a level.
  double passed[levels + 1], add[levels];
  const double context = known.last < 0 ? 0 : known.weight[levels];
  const double own = known.last < 0 ? 1 : 1 / (known.after[known.last] + fallback);
  passed[levels] = 0;
  std::fill(probability.begin(), probability.end(), 0.0);
  double to_levels = 0;  // from the clocks
  for (int32_t c = 0; c < clocks; ++c) {
    if (known.weight[levels + 1 + c] < heard) continue;
    const double weight = known.weight[levels + 1 + c] / (remaining(chain, c) + fallback);
    for (size_t k = 0; k < n; ++k) probability[k] += weight * later_[k];
    to_levels += weight * fallback;
  }
  for (int32_t b = levels; b-- > 0;) {
    double weight = known.weight[b];
    if (b == levels - 1) weight += known.last < 0 ? known.weight[levels] : context * fallback * own;
    if (b == levels - 1) weight += to_levels;
    const double at = weight + passed[b + 1];
    add[b] = at / held;
    passed[b] = at * fallback / held;
  }
  // In one pass: what is added takes less time than reading and writing.
  const float *row[levels];
  for (int32_t b = 0; b < levels; ++b) row[b] = histogram(chain, b);
  const float *const followed = histogram(chain, levels + std::max(known.last, 0));
  const double of_followed = known.last < 0 ? 0 : context * own;
  for (size_t k = 0; k < n; ++k) {
    double mixed = passed[0] * prior_[k] + of_followed * followed[k];
    for (int32_t b = 0; b < levels; ++b) mixed += add[b] * row[b][k];
    probability[k] += mixed;
  }
  // Histograms are of single precision, and what they count is not.
  const double scale = 1 / sum_of(probability);
  for (double &p : probability) p *= scale;
}

}  // namespace smiless
