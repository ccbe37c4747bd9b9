// Forecasts of the next gap: histograms of past gaps, smoothed at several widths, that forget.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace smiless {

// What all forecasts of a fleet have in common.
struct ChainSettings {
  double finest;   // seconds: width of the narrowest bins
  double ratio;    // width of the others, relative to where they begin
  double longest;  // seconds that the bins cover at least
  double decay;    // what is left of the past after a gap
};

// The gaps of many applications, each with its own chain of histograms. Level b smooths a gap g by a triangle of
// half-width width[b] * g; with few gaps it falls back on the level above, which is wider, and the widest on gaps that
// are evenly spread in their logarithm. Another one is of the gaps that followed one like the last. What follows a
// clock and jitters comes at times in its minute, quarter of an hour or hour that do not depend on when the last
// arrival came in that: one level for each of these is of the times from its beginning before one arrival to the next
// arrival. What is forecast is a mixture, weighted by how well each level forecast the gaps so far.
class Chains {
 public:
  static constexpr int32_t levels = 5;   // of increasing sharpness
  static constexpr int32_t classes = 2;  // of the last gap
  static constexpr int32_t clocks = 3;   // whose times arrivals may follow
  static constexpr int32_t experts = levels + 1 + clocks;
  static constexpr int32_t rows = levels + classes + clocks;

  Chains(int32_t count, const ChainSettings &settings);

  int32_t count() const { return static_cast<int32_t>(known_.size()); }
  int32_t bins() const { return static_cast<int32_t>(edges_.size()) - 1; }
  // Seconds, ascending from 0; what is beyond the last one is a bin of its own.
  std::span<const double> edges() const { return edges_; }

  // Learn of a gap, seconds, and when it began: seconds, of which what is in the hour matters.
  void observe(int32_t chain, double began, double gap);
  // The probability of each bin, and last of what is beyond all of them.
  void forecast(int32_t chain, std::span<double> probability) const;
  int32_t bin_of(double gap) const;

  // What is known about one application.
  struct Known {
    double weight[experts];  // adding up to 1
    double gaps;             // how many, faded
    double after[classes];   // how many followed a gap of each class, faded
    int32_t last;            // class of the last gap; negative if there is none
    double time;             // of the last arrival, in its hour: seconds
  };
  Known &known(int32_t chain) { return known_[chain]; }
  const Known &known(int32_t chain) const { return known_[chain]; }
  // Its histograms: of the levels, then of the classes and the clocks, bins() + 1 values each.
  std::span<float> histograms(int32_t chain);
  std::span<const float> histograms(int32_t chain) const;

 private:
  ChainSettings settings_;
  std::vector<double> edges_, prior_;
  std::vector<float> histograms_;
  std::vector<Known> known_;
  std::vector<double> kernel_;         // of the gap that is learnt
  std::vector<double> density_;        // of what is spread evenly over a bin: one over its width
  mutable std::vector<double> later_;  // what a clock's histogram says of gaps
  size_t row() const { return edges_.size(); }
  const float *histogram(int32_t chain, int32_t at) const;
  float *histogram(int32_t chain, int32_t at);
  // Each expert's probability of one bin.
  void shares(int32_t chain, int32_t bin, double *share) const;
  // Fill kernel_ from bin `first` on and return the bin after the last.
  int32_t spread(double gap, double width, int32_t &first);
  // What a clock's histogram has between two times.
  double between(const float *mass, double from, double until) const;

  // Fill later_ with the part of a clock's histogram that is still to come, by gap, and return how much it is.
  double remaining(int32_t chain, int32_t clock) const;
  int32_t class_of(double gap) const;
};

}  // namespace smiless
