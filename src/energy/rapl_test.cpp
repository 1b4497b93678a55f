#include "energy/rapl.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

// A tree as a machine with two packages shows it.
class Powercap : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove_all(tree); }
  void zone(const std::string& folder, const std::string& name, const std::string& energy,
            const std::string& range = "1000000000") {
    const Path at = tree / folder;
    std::filesystem::create_directories(at);
    write_text(at / "name", name + "\n");
    if (!energy.empty()) write_text(at / "energy_uj", energy + "\n");
    write_text(at / "max_energy_range_uj", range + "\n");
  }
  void count(const std::string& folder, const std::string& energy) {
    write_text(tree / folder / "energy_uj", energy + "\n");
  }
  void two_packages() {
    std::filesystem::create_directories(tree / "intel-rapl");  // the control type: no name
    zone("intel-rapl:0", "package-0", "5000000");
    zone("intel-rapl:0:0", "core", "3000000");
    zone("intel-rapl:0:1", "dram", "700000");
    zone("intel-rapl:1", "package-1", "999000000");
    zone("intel-rapl:2", "psys", "1");
    zone("intel-rapl-mmio:0", "package-0", "5000000");
  }
  const Path tree = test_folder() / "powercap";
  std::string why;
};

// Both packages and the memory; not the cores within a package, the board, or the same package seen another way.
TEST_F(Powercap, CountsPackagesAndMemory) {
  two_packages();
  const auto meter = processor_meter(why, tree);
  ASSERT_NE(meter, nullptr) << why;
  EXPECT_DOUBLE_EQ(meter->joules(), 0);
  count("intel-rapl:0", "7500000");  // 2.5 J
  count("intel-rapl:0:0", "9000000");
  count("intel-rapl:0:1", "800000");   // 0.1 J
  count("intel-rapl:1", "999400000");  // 0.4 J
  count("intel-rapl:2", "90000000");
  count("intel-rapl-mmio:0", "7500000");
  EXPECT_DOUBLE_EQ(meter->joules(), 3.0);
}

// 999 J + 1 J is the end of the range; what is shown then is beyond it.
TEST_F(Powercap, GoesOnWhereACounterBeginsAgain) {
  two_packages();
  const auto meter = processor_meter(why, tree);
  ASSERT_NE(meter, nullptr);
  count("intel-rapl:1", "250000");
  EXPECT_DOUBLE_EQ(meter->joules(), 1.25);
  count("intel-rapl:1", "500000000");
  EXPECT_DOUBLE_EQ(meter->joules(), 501);
  count("intel-rapl:1", "400000000");
  EXPECT_DOUBLE_EQ(meter->joules(), 501 + 900);
}

TEST_F(Powercap, SaysWhyThereIsNone) {
  EXPECT_EQ(processor_meter(why, tree / "none"), nullptr);
  EXPECT_EQ(why, "RAPL: no processor's counter below " + (tree / "none").string());
  zone("dtpm:0", "package-0", "1");
  EXPECT_EQ(processor_meter(why, tree), nullptr);
  EXPECT_NE(why.find("no processor's counter"), std::string::npos) << why;
}

// A folder where the file should be cannot be read by root either.
TEST_F(Powercap, RefusesPartOfThePackages) {
  two_packages();
  std::filesystem::remove(tree / "intel-rapl:1/energy_uj");
  std::filesystem::create_directories(tree / "intel-rapl:1/energy_uj");
  EXPECT_EQ(processor_meter(why, tree), nullptr);
  EXPECT_EQ(
      why, "RAPL: " + (tree / "intel-rapl:1/energy_uj").string() + " may not be read by this user");
}

TEST_F(Powercap, RefusesWhatIsNoNumber) {
  for (const char* wrong : {"", "-5", "12x", "99999999999999999999999"}) {
    zone("intel-rapl:0", "package-0", "1");
    count("intel-rapl:0", wrong);
    EXPECT_EQ(processor_meter(why, tree), nullptr) << wrong;
  }
  zone("intel-rapl:0", "package-0", "1", "0");
  EXPECT_EQ(processor_meter(why, tree), nullptr);
}

TEST_F(Powercap, FailsWhenACounterGoes) {
  two_packages();
  const auto meter = processor_meter(why, tree);
  ASSERT_NE(meter, nullptr);
  std::filesystem::remove_all(tree / "intel-rapl:1");
  EXPECT_THROW(meter->joules(), Error);
}

}  // namespace
}  // namespace trit
