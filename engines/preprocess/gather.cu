// Some values of one network's output as another's input: out[row][i] = (source[row][picks[i]] - shift) * scale.

struct Picking {
    int width; // values in a row of the source
    int count; // values in a row of the target
    float shift, scale;
};

// Thread (i, row) writes one value: grid (blocks of i, 1, rows).
extern "C" __global__ void gather(const float *source, const Picking *pickings, const int *picks, float *out) {
    const Picking picking = *pickings;
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= picking.count) return;
    const size_t row = blockIdx.z;
    out[row * picking.count + index] = (source[row * picking.width + picks[index]] - picking.shift) * picking.scale;
}
