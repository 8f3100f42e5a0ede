/* One step of a cell for one lane: RNN, GRU, LSTM; reference.py has the same equations.

   Loops over units are short, and look-ups have loops of their own, so that compilers use vector instructions. */
#pragma once
#include "integer_network.h"

static inline int32_t keep(int32_t next, int32_t old, int64_t zoneout) {
    return zoneout ? next + shift_rounded((int64_t)(old - next) * zoneout, UNIT_BITS) : next;
}

static void sigmoid(const Network *net, Scratch *s, int32_t *x, long size) {
    look_up(net->sigmoid, ONE / 2, x, s->entries, size);
}

static void hyperbolic_tangent(const Network *net, Scratch *s, int32_t *x, long size) {
    look_up(net->tanh, 0, x, s->entries, size);
}

static void run_rnn(const Network *net, Scratch *s, int32_t *restrict x, int16_t *restrict hidden) {
    hyperbolic_tangent(net, s, x, net->hidden_size);
    for (long k = 0; k < net->hidden_size; k++) hidden[k] = (int16_t)keep(x[k], hidden[k], net->zoneout);
}

/* x: the input's products with the bias, of which those of both gates include the recurrent ones. */
static void run_gru(
    const Network *net, const Layer *layer, Scratch *s, int32_t *restrict x, const int32_t *restrict recurrent,
    int16_t *restrict hidden) {
    long size = net->hidden_size;
    const int32_t *reset = x, *update = x + size, *candidate_h = recurrent + 2 * size, *bias = layer->candidate_bias;
    int32_t *candidate = x + 2 * size;
    sigmoid(net, s, x, 2 * size);
    for (long k = 0; k < size; k++)
        candidate[k] += shift_rounded(reset[k] * ((int64_t)candidate_h[k] + bias[k]), UNIT_BITS);
    hyperbolic_tangent(net, s, candidate, size);
    for (long k = 0; k < size; k++) {
        int32_t mixed = (ONE - update[k]) * candidate[k] + update[k] * hidden[k];
        int32_t next = (mixed + (1 << (UNIT_BITS - 1))) >> UNIT_BITS;
        hidden[k] = (int16_t)keep(next, hidden[k], net->zoneout);
    }
}

static void run_lstm(
    const Network *net, const Layer *layer, Scratch *s, int32_t *restrict x, int16_t *restrict hidden,
    int32_t *restrict memory) {
    long size = net->hidden_size;
    int32_t *entry = x, *forget = net->coupled ? x : x + size, *candidate = forget + size, *output = candidate + size;
    int32_t *unit = s->unit;
    sigmoid(net, s, x, candidate - x);
    hyperbolic_tangent(net, s, candidate, size);
    sigmoid(net, s, output, size);
    for (long k = 0; k < size; k++) {
        int32_t entering = 2 * (net->coupled ? ONE - forget[k] : entry[k]) * candidate[k];
        int32_t next = shift_rounded((int64_t)forget[k] * memory[k] + entering, UNIT_BITS);
        next = next < -MAX_MEMORY ? -MAX_MEMORY : next > MAX_MEMORY ? MAX_MEMORY : next;
        unit[k] = next;
        memory[k] = keep(next, memory[k], net->zoneout);
    }
    if (net->memory_epsilon) normalise(unit, size, net->memory_epsilon, layer->memory_gain, layer->memory_bias);
    hyperbolic_tangent(net, s, unit, size);
    for (long k = 0; k < size; k++) {
        int32_t next = (output[k] * unit[k] + (1 << (UNIT_BITS - 1))) >> UNIT_BITS;
        hidden[k] = (int16_t)keep(next, hidden[k], net->zoneout_hidden);
    }
}
