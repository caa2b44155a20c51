// Names as they are stored.
#pragma once

#include <string>
#include <string_view>

#include "statsd.hpp"

namespace tally {

// Each returns the name as it is stored, which is the given one or is written to `stored`. It is empty where Python has
// to decide: the name is not valid, has to be cleaned, or may weigh more than 1.
std::string_view stored_name(std::string_view plain, std::string& stored);
std::string_view stored_name(const StatsdLine& line, std::string& stored);

}  // namespace tally
