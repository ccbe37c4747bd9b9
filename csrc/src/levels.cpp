#include "smiless/levels.hpp"

#include <functional>
#include <queue>
#include <vector>

namespace smiless {

void assign_levels(std::span<const Time> at, Time busy, int32_t *level, Time *gap) {
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> free;
  std::vector<Time> served;  // by each level, last
  size_t first_busy = 0;     // services end in the order in which they began
  for (size_t i = 0; i < at.size(); ++i) {
    for (; first_busy < i && at[first_busy] + busy <= at[i]; ++first_busy) free.push(level[first_busy]);
    if (free.empty()) {
      level[i] = static_cast<int32_t>(served.size());
      gap[i] = -1;
      served.push_back(at[i]);
      continue;
    }
    const int32_t lowest = free.top();
    free.pop();
    level[i] = lowest;
    gap[i] = at[i] - served[lowest];
    served[lowest] = at[i];
  }
}

}  // namespace smiless
