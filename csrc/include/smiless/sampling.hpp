// Random numbers that are named instead of drawn one after another: the same whatever else happens, on every machine.
#pragma once

#include <cstdint>

namespace smiless {

// What is sampled. The numbers are part of what a seed means.
enum class Sampled : uint64_t { service = 0, cold_start = 1 };

// A stream of standard normal variates, each known by its index.
class Normals {
 public:
  Normals(uint64_t seed, uint64_t function, Sampled kind);
  double operator[](int64_t index) const;

 private:
  uint64_t stream_;
};

// Quantile of the standard normal distribution, 0 < p < 1: algorithm AS 241 (PPND16) of M. J. Wichura, Applied
// Statistics 37 (1988), 477-484; relative error about 1e-16.
double normal_quantile(double p);

}  // namespace smiless
