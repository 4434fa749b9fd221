// Crops of one picture as a network's input: sampling, colour conversion, brightness and normalisation in one pass.
//
// A region says how a crop's pixels lie in the picture. A crop that would skip pixels is sampled from a reduced picture,
// whose pixels are themselves interpolated here, on the fly: sixteen reads at most for a pixel of the crop.
// engines/preprocess/reference.py has the same formulas in numpy; both are compared with the tracker's crops on the CPU.
//
// Everything that changes from frame to frame lies in device memory (job, regions), so that a CUDA graph that contains
// these kernels can be replayed for any frame.

__device__ static unsigned short half_bits(float value) {
#ifdef __CUDA_ARCH__
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    const _Float16 half = (_Float16)value;
    return __builtin_bit_cast(unsigned short, half);
#endif
}

enum Format { RGB = 0, BGR = 1, NV12_BT601 = 2, NV12_BT709 = 3 };

struct Job {
    int pitch;      // bytes from one row of the picture to the next
    int first_row;  // row of the picture that lies at its address: rows that no crop needs are not uploaded
    int format;     // enum Format
    int chroma;     // NV12: bytes from the picture's address to its colour plane, whose first row is first_row / 2
    int size;       // side of the crops in pixels
    int planar;     // 1: channels first (NCHW), 0: channels last (NHWC)
    int half_float; // 1: half precision, 0: single
    int brighten;   // 1: raise dark crops
    float scale[3]; // a channel's value in 0..1 becomes value * scale + shift
    float shift[3];
    int unused[2];
};

struct Region {
    float matrix[6];    // crop pixel (column, row, 1) -> pixel of the reduced part, 2 x 3
    float across, down; // pixels of the part per pixel of the reduced part
    int left, top;      // the part of the picture that is looked at; beyond its edges they continue
    int width, height;
    int columns, rows;  // size of the reduced part; that of the part when it is not reduced
    int mirrored;       // 1: left and right of the crop are exchanged
    float gain;         // written by `levels`: factor that raises a dark crop, 1 for others
};

struct Pixel {
    float r, g, b;
};

__device__ static int within(int value, int size) { return value < 0 ? 0 : (value >= size ? size - 1 : value); }

__device__ static float level(float value) { return floorf(fminf(fmaxf(value, 0.0f), 255.0f) + 0.5f); }

__device__ static Pixel mix(Pixel a, Pixel b, Pixel c, Pixel d, float x, float y) {
    const float wa = (1.0f - x) * (1.0f - y), wb = x * (1.0f - y), wc = (1.0f - x) * y, wd = x * y;
    return {level(a.r * wa + b.r * wb + c.r * wc + d.r * wd), level(a.g * wa + b.g * wb + c.g * wc + d.g * wd),
            level(a.b * wa + b.b * wb + c.b * wc + d.b * wd)};
}

// The picture's pixel at (column, row) of a region's part.
__device__ static Pixel fetch(const unsigned char *picture, const Job &job, const Region &region, int column, int row) {
    const int x = region.left + within(column, region.width);
    const int y = region.top + within(row, region.height) - job.first_row;
    const size_t line = (size_t)y * job.pitch;
    if (job.format == RGB || job.format == BGR) {
        const unsigned char *p = picture + line + 3 * x;
        return job.format == RGB ? Pixel{(float)p[0], (float)p[1], (float)p[2]}
                                 : Pixel{(float)p[2], (float)p[1], (float)p[0]};
    }
    const unsigned char *uv = picture + job.chroma + (size_t)(y >> 1) * job.pitch + (x & ~1);
    const float luma = 1.1643836f * ((float)picture[line + x] - 16.0f);
    const float u = (float)uv[0] - 128.0f, v = (float)uv[1] - 128.0f;
    if (job.format == NV12_BT601)
        return {level(luma + 1.5960268f * v), level(luma - 0.3917623f * u - 0.8129676f * v), level(luma + 2.0172321f * u)};
    return {level(luma + 1.7927411f * v), level(luma - 0.2132486f * u - 0.5329093f * v), level(luma + 2.1124018f * u)};
}

// The reduced part's pixel at (column, row).
__device__ static Pixel reduced(const unsigned char *picture, const Job &job, const Region &region, int column, int row) {
    column = within(column, region.columns);
    row = within(row, region.rows);
    if (region.across == 1.0f && region.down == 1.0f) return fetch(picture, job, region, column, row);
    const float x = fminf(fmaxf((column + 0.5f) * region.across - 0.5f, 0.0f), (float)(region.width - 1));
    const float y = fminf(fmaxf((row + 0.5f) * region.down - 0.5f, 0.0f), (float)(region.height - 1));
    const int i = (int)x, j = (int)y;
    return mix(fetch(picture, job, region, i, j), fetch(picture, job, region, i + 1, j), fetch(picture, job, region, i, j + 1),
               fetch(picture, job, region, i + 1, j + 1), x - i, y - j);
}

// The crop's pixel at (column, row), levels in 0..255.
__device__ static Pixel sampled(const unsigned char *picture, const Job &job, const Region &region, int column, int row) {
    if (region.mirrored) column = job.size - 1 - column;
    const float x = region.matrix[0] * column + region.matrix[1] * row + region.matrix[2];
    const float y = region.matrix[3] * column + region.matrix[4] * row + region.matrix[5];
    const float left = floorf(x), top = floorf(y);
    // Far outside everything is edge; numbers that large would not fit an int.
    const int i = (int)fminf(fmaxf(left, -1e6f), 1e6f), j = (int)fminf(fmaxf(top, -1e6f), 1e6f);
    return mix(reduced(picture, job, region, i, j), reduced(picture, job, region, i + 1, j),
               reduced(picture, job, region, i, j + 1), reduced(picture, job, region, i + 1, j + 1), x - left, y - top);
}

#define STRIDE 4       // every so many-th row and column of a crop is looked at
#define BRIGHT 128.0f  // the brightest hundredth is raised to this level

// Block r looks at crop r and writes how much it is to be raised: grid (regions), any number of threads.
extern "C" __global__ void levels(const unsigned char *picture, const Job *jobs, Region *regions) {
    __shared__ int histogram[256];
    const Job job = *jobs;
    Region &region = regions[blockIdx.x];
    for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) histogram[bin] = 0;
    __syncthreads();
    const int side = (job.size + STRIDE - 1) / STRIDE, count = side * side;
    for (int index = threadIdx.x; index < count; index += blockDim.x) {
        const Pixel pixel = sampled(picture, job, region, index % side * STRIDE, index / side * STRIDE);
        atomicAdd(&histogram[(int)pixel.g], 1);
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    const int rank = count - 1 - count / 100;
    int bin = 0;
    for (int below = histogram[0]; bin < 255 && below <= rank; below += histogram[bin]) ++bin;
    region.gain = job.brighten ? fmaxf(1.0f, BRIGHT / fmaxf((float)bin, 1.0f)) : 1.0f;
}

// Thread (column, row, region) writes one pixel of the batch `out`: grid (columns, rows, regions) in blocks of any shape.
extern "C" __global__ void crops(const unsigned char *picture, const Job *jobs, const Region *regions, void *out) {
    const Job job = *jobs;
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= job.size || row >= job.size) return;
    const Region region = regions[blockIdx.z];
    const Pixel pixel = sampled(picture, job, region, column, row);
    const float factor = region.gain / 255.0f;
    const float values[3] = {pixel.r, pixel.g, pixel.b};
    const size_t plane = (size_t)job.size * job.size, place = (size_t)row * job.size + column;
    const size_t crop = (size_t)blockIdx.z * 3 * plane;
    for (int channel = 0; channel < 3; ++channel) {
        const float value = fminf(values[channel] * factor, 1.0f) * job.scale[channel] + job.shift[channel];
        const size_t at = crop + (job.planar ? channel * plane + place : 3 * place + channel);
        if (job.half_float)
            ((unsigned short *)out)[at] = half_bits(value);
        else
            ((float *)out)[at] = value;
    }
}
