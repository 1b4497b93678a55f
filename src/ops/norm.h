#pragma once
// RMSNorm (Zhang and Sennrich, arXiv 1910.07467): y = x / sqrt(mean(x^2) + epsilon) * gain, per row.

#include "ops/matrix.h"

namespace trit {

// gain [columns] or null (ones). y may be x.
void rmsnorm_forward(ConstMatrix x, const float* gain, float epsilon, Matrix y);

// dx += and dgain [columns] += for dy = the gradient of y. dgain is null exactly when gain is.
void rmsnorm_backward(ConstMatrix x, const float* gain, float epsilon, ConstMatrix dy, Matrix dx,
                      float* dgain);

}  // namespace trit
