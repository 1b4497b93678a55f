#pragma once
// For tests alone: where they put their files.

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/file.h"

namespace trit {

// A folder that this process has to itself, so that tests may run side by side; empty at first, removed
// when the process ends.
inline const Path& test_folder() {
  struct Folder {
    Folder() {
      std::filesystem::remove_all(path);
      std::filesystem::create_directories(path);
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    const Path path = Path(testing::TempDir()) / ("trit_test_" + std::to_string(getpid()));
  };
  static const Folder folder;
  return folder.path;
}

}  // namespace trit
