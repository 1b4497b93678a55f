#include "model/tile_choice.h"

#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace trit {

TileForm choose_tile_form(int64_t, int64_t) {
  const char* setting = std::getenv("TRIT_TILES");
  const std::string_view text = setting == nullptr ? "" : setting;
  if (text == "2-bit" || text == "auto" || text.empty()) return TileForm::kTwoBit;
  if (text == "base-3") return TileForm::kBase3;
  bad_input("TRIT_TILES is \"{}\", expected auto, 2-bit or base-3", printable(text));
}

}  // namespace trit
