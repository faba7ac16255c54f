// One Gauss-Newton step of fitting a window's poses to its 2D, in double precision: models/refining.py says what for.
//
// A joint's reprojection moves with three unknowns of its frame and those that all frames share, a bone's length with
// six: their products are written where they belong, where the reference multiplies whole matrices.
#include <cmath>

#include "common.h"

namespace sasmamba {

constexpr int JOINTS = 17, OWN = 48, P = 10, SHARED = 2 * P + 1; // unknowns of a frame; proportions; lengths and κ too
constexpr int RIGHT = 1 + SHARED, ALL = OWN + RIGHT;             // right-hand sides: the gradient, and what is shared

struct Fit {
    int64_t frames, seen, knots;
    const double *poses, *hangs, *unit, *weight, *near, *correction, *shared, *tells; // see sasmamba_refine_step
    double noise, far, bone, far_bone, stiff, trust[3];
    const int64_t *joints, *knot, *parents, *proportion_of;
    double *worth;
};

// Halved second and first derivatives of one frame. own is [OWN][ALL]: by its own unknowns, then the right-hand sides.
struct Frame {
    double own[OWN][ALL];
    double shared[SHARED][RIGHT];
};

// One residual row: derivatives by the shared unknowns, and by up to two joints' own three.
struct Row {
    double by[SHARED] = {};
    int joint[2] = {-1, -1}; // from 0 for the first that is no pelvis
    double own[2][3] = {};

    // by[p] from what proportions do to the joints.
    void hang(const double *hangs) {
        for (int side = 0; side < 2; side++)
            if (joint[side] >= 0)
                for (int c = 0; c < 3; c++)
                    for (int p = 0; p < P; p++) by[p] += own[side][c] * hangs[(3 * joint[side] + c) * P + p];
    }

    void add_to(Frame &f, double worth, double error) const {
        for (int a = 0; a < 2; a++) {
            if (joint[a] < 0) continue;
            for (int c = 0; c < 3; c++) {
                double *row = f.own[3 * joint[a] + c];
                const double w = worth * own[a][c];
                for (int b = 0; b < 2; b++)
                    if (joint[b] >= 0)
                        for (int d = 0; d < 3; d++) row[3 * joint[b] + d] += w * own[b][d];
                row[OWN] += w * error;
                for (int s = 0; s < SHARED; s++) row[OWN + 1 + s] += w * by[s];
            }
        }
        for (int s = 0; s < SHARED; s++) {
            const double w = worth * by[s];
            f.shared[s][0] += w * error;
            for (int r = 0; r < SHARED; r++) f.shared[s][1 + r] += w * by[r];
        }
    }
};

// The scale and place of a frame that fit best: what they leave, and their normal matrix inverted.
struct Eliminated {
    double error[JOINTS][2], inverse[3][3];

    Eliminated(const double (*flat)[2], const double *unit, const double *worth, int64_t count) {
        double n00 = 0, n01 = 0, n02 = 0, n11 = 0, r0 = 0, r1 = 0, r2 = 0;
        for (int64_t i = 0; i < count; i++) {
            const double w = worth[i], u = unit[2 * i], v = unit[2 * i + 1];
            n00 += w * (u * u + v * v), n01 += w * u, n02 += w * v, n11 += w;
            r0 += w * (u * flat[i][0] + v * flat[i][1]), r1 += w * flat[i][0], r2 += w * flat[i][1];
        }
        // frames in which fewer than two joints were seen do not tell the scale
        const double least = 1e-12 * (1 + n00 + 2 * n11);
        n00 += least, n11 += least;
        // of [[n00 n01 n02] [n01 n11 0] [n02 0 n11]], by Schur's complement of n00's row
        const double a = n01 / n11, b = n02 / n11, s = 1 / (n00 - n01 * a - n02 * b);
        const double all[3][3] = {{s, -s * a, -s * b},
                                  {-s * a, 1 / n11 + s * a * a, s * a * b},
                                  {-s * b, s * a * b, 1 / n11 + s * b * b}};
        std::memcpy(inverse, all, sizeof all);
        const double scale = s * (r0 - a * r1 - b * r2), x = r1 / n11 - a * scale, y = r2 / n11 - b * scale;
        for (int64_t i = 0; i < count; i++) {
            error[i][0] = flat[i][0] - scale * unit[2 * i] - x;
            error[i][1] = flat[i][1] - scale * unit[2 * i + 1] - y;
        }
    }
};

// Joints fall where they were seen; scale and place of the frame are eliminated.
void reprojection(const Fit &fit, int64_t t, Frame &f) {
    const double *pose = fit.poses + t * JOINTS * 3, *unit = fit.unit + t * fit.seen * 2, k = fit.shared[2 * P];
    const double *weight = fit.weight + t * fit.seen;
    double *worth = fit.worth + t * fit.seen, flat[JOINTS][2];
    for (int64_t i = 0; i < fit.seen; i++) {
        const double *at = pose + 3 * fit.joints[i];
        flat[i][0] = (1 - k * at[2]) * at[0], flat[i][1] = (1 - k * at[2]) * at[1];
    }
    for (int again = 0; again < 2; again++) { // what is far off counts less, and how far off depends on what counts
        const Eliminated rest(flat, unit, worth, fit.seen);
        for (int64_t i = 0; i < fit.seen; i++) {
            const double x = rest.error[i][0], y = rest.error[i][1], limit = fit.far * fit.noise;
            worth[i] = weight[i] / (fit.noise * fit.noise) / (1 + (x * x + y * y) / (limit * limit));
        }
    }
    const Eliminated rest(flat, unit, worth, fit.seen);
    double mixed[OWN + SHARED][3] = {}; // how much of each unknown the scale and place take over
    for (int64_t i = 0; i < fit.seen; i++) {
        if (!worth[i]) continue;
        const double *at = pose + 3 * fit.joints[i];
        for (int axis = 0; axis < 2; axis++) {
            Row row;
            row.joint[0] = int(fit.joints[i]) - 1; // the pelvis is the origin
            row.own[0][axis] = 1 - k * at[2], row.own[0][2] = -k * at[axis];
            row.hang(fit.hangs + t * OWN * P);
            row.by[2 * P] = -at[2] * at[axis];
            row.add_to(f, worth[i], rest.error[i][axis]);
            const double basis[3] = {unit[2 * i + axis], axis == 0 ? 1.0 : 0.0, axis == 1 ? 1.0 : 0.0};
            for (int q = 0; q < 3; q++) {
                const double w = worth[i] * basis[q];
                if (row.joint[0] >= 0)
                    for (int c = 0; c < 3; c++) mixed[3 * row.joint[0] + c][q] += w * row.own[0][c];
                for (int s = 0; s < SHARED; s++) mixed[OWN + s][q] += w * row.by[s];
            }
        }
    }
    double taken[3][OWN + SHARED];
    for (int q = 0; q < 3; q++)
        for (int u = 0; u < OWN + SHARED; u++)
            taken[q][u] = rest.inverse[q][0] * mixed[u][0] + rest.inverse[q][1] * mixed[u][1] +
                          rest.inverse[q][2] * mixed[u][2];
    for (int u = 0; u < OWN + SHARED; u++) {
        double *row = u < OWN ? f.own[u] : f.shared[u - OWN];
        for (int q = 0; q < 3; q++) {
            const double m = mixed[u][q];
            if (u < OWN)
                for (int v = 0; v < OWN; v++) row[v] -= m * taken[q][v];
            for (int s = 0; s < SHARED; s++) row[(u < OWN ? OWN : 0) + 1 + s] -= m * taken[q][OWN + s];
        }
    }
}

// A bone keeps its length.
void bones(const Fit &fit, int64_t t, Frame &f) {
    const double *pose = fit.poses + t * JOINTS * 3;
    for (int joint = 1; joint < JOINTS; joint++) {
        const int64_t parent = fit.parents[joint], proportion = fit.proportion_of[joint - 1];
        double along[3], length = 0;
        for (int c = 0; c < 3; c++) along[c] = pose[3 * joint + c] - pose[3 * parent + c], length += along[c] * along[c];
        length = std::sqrt(length);
        Row row;
        row.joint[0] = joint - 1, row.joint[1] = int(parent) - 1;
        for (int c = 0; c < 3; c++) {
            row.own[0][c] = along[c] / std::max(length, 1e-6);
            row.own[1][c] = -row.own[0][c];
        }
        row.hang(fit.hangs + t * OWN * P);
        row.by[P + proportion] = -1;
        const double error = length - fit.shared[P + proportion], off = error / (fit.far_bone * fit.bone);
        // where a pose is lost, so are its bones, and where they are not seen, the lifter makes them up
        const double tells = fit.tells[t * (JOINTS - 1) + joint - 1];
        row.add_to(f, tells / (fit.bone * fit.bone) / (1 + off * off), error);
    }
}

// Room of the factorisation: per knot [OWN][OWN + ALL]: what it has of itself, of the next knot, of the right-hand sides.
struct Knot {
    double own[OWN][OWN];
    double rest[OWN][ALL]; // the next knot's OWN, then RIGHT

    void add(const Frame &f, double here, double next) {
        for (int i = 0; i < OWN; i++) {
            for (int j = 0; j < OWN; j++) own[i][j] += here * here * f.own[i][j];
            for (int j = 0; j < OWN; j++) rest[i][j] += here * next * f.own[i][j];
            for (int r = OWN; r < ALL; r++) rest[i][r] += here * f.own[i][r];
        }
    }

    // own = L Lᵀ in its lower triangle, and rest = L⁻¹ rest.
    void factor() {
        for (int j = 0; j < OWN; j++) {
            const double pivot = 1 / std::sqrt(own[j][j]);
            for (int i = j; i < OWN; i++) own[i][j] *= pivot;
            for (int r = 0; r < ALL; r++) rest[j][r] *= pivot;
            for (int i = j + 1; i < OWN; i++) {
                const double l = own[i][j];
                for (int k = j + 1; k <= i; k++) own[i][k] -= l * own[k][j];
                for (int r = 0; r < ALL; r++) rest[i][r] -= l * rest[j][r];
            }
        }
    }

    // What the unknowns of this knot leave to the next one's, after `factor`.
    void eliminate_from(Knot &next) const {
        for (int i = 0; i < OWN; i++) {
            double line[OWN + RIGHT] = {};
            for (int k = 0; k < OWN; k++) {
                const double a = rest[k][i];
                for (int r = 0; r < OWN + RIGHT; r++) line[r] += a * rest[k][r];
            }
            for (int j = 0; j < OWN; j++) next.own[i][j] -= line[j];
            for (int r = 0; r < RIGHT; r++) next.rest[i][OWN + r] -= line[OWN + r];
        }
    }

    // x = L⁻ᵀ (right-hand sides - what follows × the next knot's x).
    void solve(const double *next, double *x) const {
        double (*X)[RIGHT] = reinterpret_cast<double (*)[RIGHT]>(x);
        for (int i = 0; i < OWN; i++) {
            std::memcpy(X[i], rest[i] + OWN, sizeof X[i]);
            if (next)
                for (int k = 0; k < OWN; k++)
                    for (int r = 0; r < RIGHT; r++) X[i][r] -= rest[i][k] * next[k * RIGHT + r];
        }
        for (int i = OWN - 1; i >= 0; i--) {
            for (int r = 0; r < RIGHT; r++) X[i][r] /= own[i][i];
            for (int k = 0; k < i; k++)
                for (int r = 0; r < RIGHT; r++) X[k][r] -= own[i][k] * X[i][r];
        }
    }
};

void step(const Fit &fit, double *solved, double *reduced) {
    std::vector<Knot> knots(size_t(fit.knots), Knot{});
    std::memset(reduced, 0, SHARED * RIGHT * sizeof(double));
    Frame f;
    for (int64_t t = 0; t < fit.frames; t++) {
        std::memset(&f, 0, sizeof f);
        reprojection(fit, t, f);
        bones(fit, t, f);
        const int64_t k = fit.knot[t];
        const double here = fit.near[t], next = fit.near[fit.frames + t];
        for (int u = 0; u < OWN; u++) {
            const double trust = fit.trust[u % 3];
            f.own[u][u] += trust;
            f.own[u][OWN] += trust * (here * fit.correction[k * OWN + u] + next * fit.correction[(k + 1) * OWN + u]);
        }
        for (int s = 0; s < SHARED; s++)
            for (int r = 0; r < RIGHT; r++) reduced[s * RIGHT + r] += f.shared[s][r];
        knots[size_t(k)].add(f, here, next);
        knots[size_t(k + 1)].add(f, next, 0);
    }
    for (int64_t k = 0; k + 1 < fit.knots; k++)
        for (int u = 0; u < OWN; u++) {
            Knot &a = knots[size_t(k)], &b = knots[size_t(k + 1)];
            const double stiff = fit.stiff * fit.trust[u % 3];
            const double slope = stiff * (fit.correction[(k + 1) * OWN + u] - fit.correction[k * OWN + u]);
            a.own[u][u] += stiff, b.own[u][u] += stiff, a.rest[u][u] -= stiff;
            a.rest[u][OWN] -= slope, b.rest[u][OWN] += slope;
        }
    for (int64_t k = 0; k < fit.knots; k++) {
        Knot &knot = knots[size_t(k)];
        knot.factor();
        if (k + 1 < fit.knots) knot.eliminate_from(knots[size_t(k + 1)]);
        for (int i = 0; i < OWN; i++)
            for (int s = 0; s < SHARED; s++)
                for (int r = 0; r < RIGHT; r++)
                    reduced[s * RIGHT + r] -= knot.rest[i][OWN + 1 + s] * knot.rest[i][OWN + r];
    }
    for (int64_t k = fit.knots - 1; k >= 0; k--)
        knots[size_t(k)].solve(k + 1 < fit.knots ? solved + (k + 1) * OWN * RIGHT : nullptr, solved + k * OWN * RIGHT);
}

} // namespace sasmamba

// sizes: frames, joints seen (at most 17), knots (at least 2).
// whole: joints (seen), knot before each frame (frames), parents (17), proportion of each bone (16).
// numbers: noise, far (in noise), bone, far (in bone), stiffness between knots (in trust), trust in x, y and z.
// in: poses (frames, 17, 3), hangs (frames, 48, 10), unit (frames, seen, 2), weight (frames, seen), near (2, frames),
// correction (knots, 48), shared (21), how much each bone tells of its length (frames, 16). worth (frames, seen) is
// renewed.
// solved (knots, 48, 22): the knots' system's solution for the gradient, then for each shared unknown. reduced (21, 22):
// of the shared unknowns' own system, once the knots are eliminated, the gradient and the matrix.
EXPORT void sasmamba_refine_step(const int64_t *sizes, const int64_t *const *whole, const double *numbers,
                                 const double *const *in, double *worth, double *solved, double *reduced) {
    sasmamba::step({sizes[0], sizes[1], sizes[2], in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], numbers[0],
                    numbers[1], numbers[2], numbers[3], numbers[4], {numbers[5], numbers[6], numbers[7]}, whole[0],
                    whole[1], whole[2], whole[3], worth},
                   solved, reduced);
}
