/* One step of a cell for one lane: RNN, GRU, LSTM; reference.py has the same equations. */
#pragma once
#include "integer_network.h"

static inline int32_t keep(int32_t next, int32_t old, int64_t zoneout) {
    return zoneout ? next + (int32_t)shift_rounded((int64_t)(old - next) * zoneout, UNIT_BITS) : next;
}

static void run_rnn(const Network *net, const int32_t *x, int16_t *hidden) {
    for (long k = 0; k < net->hidden_size; k++)
        hidden[k] = (int16_t)keep(look_up(net->tanh, x[k]), hidden[k], net->zoneout);
}

/* x: the input's products with the bias, of which those of both gates include the recurrent ones. */
static void run_gru(
    const Network *net, const Layer *layer, const int32_t *x, const int32_t *recurrent, int16_t *hidden) {
    long size = net->hidden_size;
    for (long k = 0; k < size; k++) {
        int32_t reset = look_up(net->sigmoid, x[k]), update = look_up(net->sigmoid, x[size + k]);
        int64_t candidate_h = (int64_t)recurrent[2 * size + k] + layer->candidate_bias[k];
        int32_t from_h = (int32_t)shift_rounded(reset * candidate_h, UNIT_BITS);
        int32_t candidate = look_up(net->tanh, x[2 * size + k] + from_h);
        int64_t mixed = (int64_t)(ONE - update) * candidate + (int64_t)update * hidden[k];
        int32_t next = (int32_t)shift_rounded(mixed, UNIT_BITS);
        hidden[k] = (int16_t)keep(next, hidden[k], net->zoneout);
    }
}

static void run_lstm(
    const Network *net, const Layer *layer, const int32_t *x, int32_t *unit, int16_t *hidden, int32_t *memory) {
    long size = net->hidden_size;
    const int32_t *i = x, *f = net->coupled ? x : x + size, *g = f + size, *o = g + size;
    for (long k = 0; k < size; k++) {
        int32_t forget = look_up(net->sigmoid, f[k]);
        int32_t entry = net->coupled ? ONE - forget : look_up(net->sigmoid, i[k]);
        int64_t summed = (int64_t)forget * memory[k] + (int64_t)2 * entry * look_up(net->tanh, g[k]);
        int32_t next = (int32_t)shift_rounded(summed, UNIT_BITS);
        next = next < -MAX_MEMORY ? -MAX_MEMORY : next > MAX_MEMORY ? MAX_MEMORY : next;
        unit[k] = next;
        memory[k] = keep(next, memory[k], net->zoneout);
    }
    if (net->memory_epsilon) {
        normalise(unit, size, net->memory_epsilon);
        scale_and_shift(unit, size, layer->memory_gain, layer->memory_bias);
    }
    for (long k = 0; k < size; k++) {
        int32_t gated = look_up(net->sigmoid, o[k]) * look_up(net->tanh, unit[k]);
        int32_t next = (gated + (1 << (UNIT_BITS - 1))) >> UNIT_BITS;
        hidden[k] = (int16_t)keep(next, hidden[k], net->zoneout_hidden);
    }
}
