using System.Runtime.InteropServices;

namespace Berth.Oci.Images;

/// <summary>Picks the image of an index that runs on a machine.</summary>
public static class PlatformChoice
{
    /// <summary>The platform of the machine that this program runs on.</summary>
    public static Platform Here { get; } = RuntimeInformation.OSArchitecture switch
    {
        Architecture.Arm64 => new Platform("arm64", "linux", "v8"),
        Architecture.Arm or Architecture.Armv6 => new Platform("arm", "linux", "v7"),
        Architecture.X86 => new Platform("386", "linux"),
        Architecture.Ppc64le => new Platform("ppc64le", "linux"),
        Architecture.S390x => new Platform("s390x", "linux"),
        Architecture.RiscV64 => new Platform("riscv64", "linux"),
        _ => new Platform("amd64", "linux"),
    };

    /// <summary>
    /// The first entry for the platform, one of its very variant before one without; an index of a single image
    /// without a platform is taken as meant for every machine. Null when nothing fits.
    /// </summary>
    public static Descriptor? Choose(ImageIndex index, Platform platform)
    {
        List<Descriptor> fitting = [.. index.Manifests.Where(m => Fits(m.Platform, platform))];
        return fitting.Find(m => m.Platform!.Variant == platform.Variant)
            ?? fitting.FirstOrDefault()
            ?? (index.Manifests is [{ Platform: null } only] && !MediaTypes.IsIndex(only.MediaType) ? only : null);
    }

    private static bool Fits(Platform? offered, Platform wanted) =>
        offered is not null && offered.Os == wanted.Os && offered.Architecture == wanted.Architecture
        && (offered.Variant is null or "" || wanted.Variant is null || offered.Variant == wanted.Variant
            || (wanted.Architecture == "arm" && string.CompareOrdinal(offered.Variant, wanted.Variant) < 0));
}
