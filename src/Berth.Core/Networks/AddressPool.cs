using System.Buffers.Binary;
using System.Net;

namespace Berth.Core.Networks;

/// <summary>The addresses of a subnet, each given to one at a time. One that came back is given again as late as can
/// be, so that what still talks to it doesn't talk to another one. Not thread-safe.</summary>
public sealed class AddressPool(IPNetwork subnet)
{
    /// <summary>The network's own, which begin a subnet: its number and its gateway.</summary>
    private const uint Own = 2;

    private readonly HashSet<uint> taken = [];
    private uint next = Own;

    /// <summary>How many there are to give.</summary>
    public static uint Capacity(IPNetwork subnet) => SizeOf(subnet) - Own - 1;

    /// <summary>Null where all are taken.</summary>
    public IPAddress? Take()
    {
        uint capacity = Capacity(subnet);
        for (uint tried = 0; tried < capacity; tried++)
        {
            uint number = next;
            next = next + 1 > capacity + Own - 1 ? Own : next + 1;
            if (taken.Add(number))
            {
                return At(subnet, number);
            }
        }

        return null;
    }

    /// <summary>One that was asked for. False where it is taken, or none to give.</summary>
    public bool TryTake(IPAddress address) => IsToGive(subnet, address) && taken.Add(NumberOf(address));

    public void Return(IPAddress address) => taken.Remove(NumberOf(address));

    /// <summary>Whether it is one that programs can have.</summary>
    public static bool IsToGive(IPNetwork subnet, IPAddress address)
    {
        if (!subnet.Contains(address))
        {
            return false;
        }

        uint number = ToNumber(address) - ToNumber(subnet.BaseAddress);
        return number >= Own && number < SizeOf(subnet) - 1;
    }

    public static IPAddress At(IPNetwork subnet, uint number) => ToAddress(ToNumber(subnet.BaseAddress) + number);

    public static uint ToNumber(IPAddress address) => BinaryPrimitives.ReadUInt32BigEndian(address.GetAddressBytes());

    public static IPAddress ToAddress(uint number)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        return new IPAddress(bytes);
    }

    private uint NumberOf(IPAddress address) => ToNumber(address) - ToNumber(subnet.BaseAddress);

    private static uint SizeOf(IPNetwork subnet) => 1u << (32 - subnet.PrefixLength);
}
