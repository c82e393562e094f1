// The two row passes, each in the layout that suits the logits.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "columns.h"
#include "rows.h"

namespace {

bool across_rows(const Rows& rows) { return rows.inner > 1 || rows.classes <= kFewClasses; }

template <typename S>
void statistics(const Rows& rows, const Statistics& out, int64_t begin, int64_t end) {
  (across_rows(rows) ? statistics_of_columns<S> : statistics_of_rows<S>)(rows, out, begin, end);
}

template <typename S>
void gradient(const Rows& rows, const Statistics& statistics, const Slopes& slopes,
              const Gradient& gradient, int64_t begin, int64_t end) {
  (across_rows(rows) ? gradient_of_columns<S> : gradient_of_rows<S>)(rows, statistics, slopes,
                                                                     gradient, begin, end);
}

}  // namespace
